"""What the site (mkdocs.yml) does with pages that are written to be read where the code is hosted, too.

Some pages lie outside of docs/. A link to one of them, or to a page of docs/ from one of them, becomes a link within
the site; a link to any other file outside of docs/ becomes that file's path, for the site has no such file.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASE.md": "releasing.md",
    "SECURITY.md": "report-vulnerability.md",
    "k8s/README.md": "kubernetes-namespace.md",
}
"""Pages outside of docs/ -> what they are called on the site."""
SOURCES = {page: ROOT / source for source, page in OUTSIDE.items()}
CODE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<heading>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name headings as code hosts do, so that a link to one leads there on both."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the pages outside of docs/ in."""
    for page, source in SOURCES.items():
        files.append(File.generated(config, page, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return for_site(markdown, page.file.src_uri)


def for_site(markdown: str, uri: str) -> str:
    """A page of this address on the site, with its links as they lead there; what is in blocks of code stays."""
    source = SOURCES.get(uri, DOCS / uri)
    parts, end = list[str](), 0
    for block in CODE.finditer(markdown):
        parts += [_turned(markdown[end : block.start()], source, uri), block[0]]
        end = block.end()
    return "".join([*parts, _turned(markdown[end:], source, uri)])


def _turned(text: str, source: Path, uri: str) -> str:
    return LINK.sub(lambda link: _link(link, source, uri), text)


def _link(link: re.Match[str], source: Path, uri: str) -> str:
    """A link of the page `source`, which is `uri` on the site."""
    target = (source.parent / link["target"]).resolve()
    if "://" in link["target"] or not target.exists() or not target.is_relative_to(ROOT):
        return link[0]  # mkdocs says what leads nowhere
    path = target.relative_to(ROOT).as_posix()
    if target.is_relative_to(DOCS):
        there = target.relative_to(DOCS).as_posix()
    elif path in OUTSIDE:
        there = OUTSIDE[path]
    else:
        return f"`{path}`" if path.endswith(link["text"].rstrip("/")) else f"{link['text']} (`{path}`)"
    return f"{link['image']}[{link['text']}]({os.path.relpath(there, os.path.dirname(uri))}{link['heading'] or ''})"
