"""Addresses, and the links between the control plane, the nodes and this machine."""

import ipaddress
import json
import subprocess
from pathlib import Path

from .namespaces import Machine

SWITCH = "10.88.0.1"
"""Of the control plane, on the bridge that nodes are plugged into."""
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"


def node_address(number: int) -> str:
    return f"10.88.0.{10 + number}"


def pod_subnet(number: int) -> str:
    return f"10.244.{number}.0/24"


def connect_host(hub: Machine, name: str) -> str:
    """Link this machine with the hub; returns the hub's address there."""
    ours, theirs = _free_pair()
    _ip("link", "add", name, "type", "veth", "peer", "name", "host", "netns", str(hub.pid))
    _ip("address", "add", f"{ours}/30", "dev", name)
    _ip("link", "set", name, "up")
    hub.shell(f"ip address add {theirs}/30 dev host; ip link set host up")
    return theirs


def disconnect_host(name: str) -> None:
    """Remove the link, and with it the only route that this machine got."""
    if (Path("/sys/class/net") / name).exists():
        _ip("link", "delete", name)


def make_switch(hub: Machine) -> None:
    """The bridge that nodes are plugged into."""
    hub.shell(
        f"ip link add switch type bridge; ip address add {SWITCH}/24 dev switch; ip link set switch up;"
        " echo 1 > /proc/sys/net/ipv4/ip_forward"
    )


def plug(hub: Machine, node: Machine, number: int) -> None:
    """Link a node with the switch; the other nodes and the control plane reach its pods."""
    link = ["ip", "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", str(node.pid)]
    subprocess.run([*hub.enter("net"), *link], check=True)  # the pid is one of this machine's
    address, subnet = node_address(number), pod_subnet(number)
    hub.shell(f"ip link set {node.name} master switch up")
    node.shell(
        f"ip address add {address}/24 dev eth0; ip link set eth0 up; ip route add default via {SWITCH};"
        " echo 1 > /proc/sys/net/ipv4/ip_forward"
    )
    hub.shell(f"ip route replace {subnet} via {address}")


def queue_connections(node: Machine) -> None:
    """Ask who reads queue 100 about the first packet to or from a pod; nobody there: it may pass.

    What the node itself sends, as the kubelet's probes, is not asked about.
    """
    for rule in (
        "--match conntrack --ctstate ESTABLISHED,RELATED --jump ACCEPT",
        "--match owner --uid-owner 0 --jump ACCEPT",
        "--jump NFQUEUE --queue-num 100 --queue-bypass",
    ):
        node.shell(f"iptables --table mangle --append POSTROUTING {rule}")


def cut(hub: Machine, node: Machine) -> None:
    """Pull a node's plug."""
    hub.run("ip", "link", "set", node.name, "down")


def join(hub: Machine, node: Machine) -> None:
    hub.run("ip", "link", "set", node.name, "up")


def _free_pair() -> tuple[str, str]:
    """Two addresses of a network for benchmarks (RFC 2544) that no link of this machine uses."""
    links = json.loads(_ip("-json", "-4", "address", "show"))
    taken = {ipaddress.ip_address(each["local"]) for link in links for each in link["addr_info"]}
    for subnet in ipaddress.ip_network("198.18.0.0/16").subnets(new_prefix=30):
        ours, theirs = subnet.hosts()
        if ours not in taken and theirs not in taken:
            return str(ours), str(theirs)
    raise AssertionError("no free network")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
