"""Every relative link leads somewhere, anchors included, and every page is in the menu."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def words(path):
    """The text without code, in which brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "`", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL))


def anchors(path):
    headings = re.findall(r"^#+ (.+)$", words(path), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_resolve(page):
    broken = []
    for link in LINK.findall(words(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (page.parent / target).resolve() if target else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            broken.append(link)
    assert not broken


def test_every_page_is_in_the_menu():
    text = (ROOT / "mkdocs.yml").read_text()
    menu = yaml.safe_load("nav:" + text.partition("\nnav:")[2].partition("\nvalidation:")[0])["nav"]
    listed = [page for group in menu for pages in group.values() for page in pages]
    assert len(menu) == 4
    assert sorted(listed) == sorted(str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md"))
