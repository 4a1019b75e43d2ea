"""Blocks of Python, run one after another as at the interactive prompt."""

from __future__ import annotations

import ast
import io
import linecache
import traceback
from contextlib import redirect_stderr, redirect_stdout
from typing import Any


class Notebook:
    r"""The names that blocks of code have defined, and the means to run one more.

    Examples
    --------
    >>> notebook = Notebook()
    >>> notebook.run("x = 20")
    {'output': '', 'raised': ''}
    >>> reply = notebook.run("x + 1\nfor i in range(2):\n    print(i)\n\n1 / 0")
    >>> print(reply["output"])
    21
    0
    1
    <BLANKLINE>
    >>> print(reply["raised"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      File "<block 2>", line 5, in <module>
        1 / 0
    ...
    ZeroDivisionError: division by zero
    <BLANKLINE>
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.blocks = 0

    def run(self, source: str) -> dict[str, str]:
        """Run a block; return what it has printed, values of expressions included.

        A library that is not installed is named as "missing"; "rest" is then the block from the
        statement that needs it, so that this can be run again.
        """
        self.blocks += 1
        file = f"<block {self.blocks}>"
        lines = source.splitlines(keepends=True)
        linecache.cache[file] = (len(source), None, lines, file)
        printed = io.StringIO()
        reply = {"raised": ""}
        with redirect_stdout(printed), redirect_stderr(printed):
            try:
                for statement in ast.parse(source, file).body:
                    start = statement.lineno - 1
                    code = compile(ast.Interactive([statement]), file, "single", dont_inherit=True)
                    exec(code, self.names)
            except BaseException as error:  # also SystemExit
                ours = error.__traceback__ and error.__traceback__.tb_next
                reply["raised"] = "".join(traceback.format_exception(type(error), error, ours))
                if isinstance(error, ModuleNotFoundError) and error.name:
                    reply["missing"] = error.name
                    reply["rest"] = "".join(lines[start:])
        return {"output": printed.getvalue(), **reply}
