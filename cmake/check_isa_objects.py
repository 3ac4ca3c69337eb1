"""Check that the objects of each instruction set level export nothing that another level could be given.

A weak symbol (an inline function, a template) that two levels define is merged by the linker, and the copy that
survives may use instructions the processor lacks. So a level's objects define no weak symbol, and what they
export carries the level's name.

Usage: python cmake/check_isa_objects.py BUILD_DIRECTORY
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PREFIX = "rnncore_kernels_"


def problems(target: Path) -> list[str]:
    """What is wrong with the objects of one level, whose build folder is `target`."""
    level = target.name.removeprefix(PREFIX).removesuffix(".dir")
    found = []
    for item in sorted(target.rglob("*.o")):
        lines = subprocess.run(
            ["nm", "--defined-only", "--extern-only", item], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for line in lines:
            _, kind, name = line.split(maxsplit=2)
            if kind in "WwVvu":
                found.append(f"{level}: {item.name} defines the weak symbol {name}")
            elif level not in name:
                found.append(f"{level}: {item.name} exports {name}, which does not carry the level's name")
    return found


def main() -> int:
    targets = sorted(Path(sys.argv[1]).rglob(f"{PREFIX}*.dir"))
    if not targets:
        print(f"no {PREFIX}*.dir under {sys.argv[1]}")
        return 1
    found = [problem for target in targets for problem in problems(target)]
    print("\n".join(found) or f"no weak symbols in {', '.join(target.name for target in targets)}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
