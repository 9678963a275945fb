"""Draw the pictures of docs/explanation/features.md from the examples on the page: `python tools/pictures.py`."""

import re
from pathlib import Path

from winnow.features.meaning import sentence
from winnow.features.story import Story
from winnow.project.features import picture

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURES = DOCS / "explanation" / "features.md", DOCS / "pictures"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def drawn() -> dict[str, str]:
    """Name → SVG of every story that the page tells: of each variable that holds one."""
    names: dict[str, object] = {}
    for block in BLOCK.findall(PAGE.read_text()):
        exec(compile(block, str(PAGE), "exec"), names)
    return {name: _picture(story) for name, story in names.items() if isinstance(story, Story)}


def _picture(story: Story) -> str:
    return picture.draw(story, whose="the example above", meaning=sentence(story.feature, story.name))


def main() -> None:
    """Writes them."""
    PICTURES.mkdir(exist_ok=True)
    for name, svg in drawn().items():
        (PICTURES / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
