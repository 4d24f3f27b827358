// What pods of the tests do: wait, fail, allocate, ask and answer; as `pause`, hold a pod's namespaces.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	verb, argument := filepath.Base(os.Args[0]), ""
	if verb != "pause" && len(os.Args) > 1 {
		verb = os.Args[1]
	}
	if len(os.Args) > 2 {
		argument = os.Args[2]
	}
	switch verb {
	case "pause":
		pause()
	case "sleep":
		time.Sleep(time.Duration(number(argument)) * time.Second)
	case "exit":
		os.Exit(number(argument))
	case "allocate":
		allocate(number(argument))
	case "write":
		write(argument, os.Args[3])
	case "resolve":
		resolve(argument)
	case "get":
		get(argument)
	case "serve":
		serve(argument)
	case "dial":
		dial(os.Args[2:])
	default:
		log.Fatal("usage: probe sleep SECONDS | exit CODE | allocate MEBIBYTES | write FILE MEBIBYTES |" +
			" resolve HOST | get URL | serve :PORT | dial HOST:PORT ...")
	}
}

// pause reaps what is left to it, as process 1 of a pod may have to, until it is told to end.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if child, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); child <= 0 {
				break
			}
		}
	}
}

func allocate(mebibytes int) {
	memory := make([]byte, mebibytes<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	fmt.Println("allocated", len(memory)>>20)
}

func write(name, mebibytes string) {
	file, err := os.Create(name)
	check(err)
	for range number(mebibytes) {
		_, err = file.Write(make([]byte, 1<<20))
		check(err)
	}
	check(file.Sync())
	fmt.Println("written", mebibytes)
}

func resolve(host string) {
	var addresses []string
	check(patiently(func() (err error) {
		addresses, err = net.LookupHost(host)
		return
	}))
	fmt.Println(addresses)
}

func get(url string) {
	check(patiently(func() error {
		answer, err := http.Get(url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = io.Copy(os.Stdout, answer.Body)
		return err
	}))
}

// serve answers with the pod's name.
func serve(address string) {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		name, _ := os.Hostname()
		fmt.Fprintln(answer, name)
	})
	log.Fatal(http.ListenAndServe(address, nil))
}

// dial says which addresses take connections, once this pod's own address may be known to those who enforce policies.
func dial(addresses []string) {
	time.Sleep(5 * time.Second)
	for _, address := range addresses {
		connection, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err == nil {
			connection.Close()
			fmt.Println(address)
		}
	}
}

// patiently tries for half a minute: a service's name may be asked for before it has a pod.
func patiently(try func() error) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
