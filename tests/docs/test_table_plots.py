"""The pictures of tables that the page's own code draws."""

import re
from pathlib import Path

from docs.generate.table_plots import PAGE, write_table_plots


def test_the_pictures_of_the_page_are_drawn_by_its_code(tmp_path: Path) -> None:
    write_table_plots(tmp_path / "new")
    shown = re.findall(r"/_generated/table_plots/(\w+\.png)", PAGE.read_text(encoding="utf-8"))
    assert len(shown) == 5
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(shown)
