"""Every registered name, setting and quantity is documented: the page in the repository is what the code writes."""

from pathlib import Path

from gengap.reference_docs import reference_page

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"


def test_the_reference_page_is_up_to_date():
    expected = reference_page.markdown()
    assert PAGE.read_text(encoding="utf-8") == expected, "run: make docs"
