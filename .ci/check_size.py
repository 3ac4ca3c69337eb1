"""Check that the installed package stays small: the compiled core, and the package as a wheel packs it.

Usage: python .ci/check_size.py FOLDER_OF_THE_PACKAGE
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

MOST = {"compiled core": 8.0, "wheel": 3.0}  # MB


def sizes(package: Path) -> dict[str, float]:
    """MB of the core, and of all files as a wheel packs them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted(package.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                wheel.write(file, file.relative_to(package.parent))
    core = sum(file.stat().st_size for file in package.glob("_core*.so"))
    return {"compiled core": core / 1e6, "wheel": len(packed.getvalue()) / 1e6}


def main() -> int:
    found = sizes(Path(sys.argv[1]))
    for name, size in found.items():
        print(f"{name}: {size:.2f} MB, at most {MOST[name]:.1f}")
    return 1 if any(size > MOST[name] for name, size in found.items()) or found["compiled core"] == 0 else 0


if __name__ == "__main__":
    raise SystemExit(main())
