"""Names in the text become links: `layers.LSTM` on any page, and NumPy's types in docstrings."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

NUMPY = {"ndarray": "numpy.ndarray", "Generator": "numpy.random.Generator"}  # types without their module


class NameLinks(SphinxPostTransform):
    """Literals that are the name of something described here lead to it, and so do the types of parameters.

    The first column of a table stays as it is: there stand other packages' names, or what the row is about.
    """

    default_priority = 5  # before references are resolved

    def run(self, **_: Any) -> None:
        objects = self.env.domains.python_domain.objects
        classes = bare_classes(objects)
        for node in list(self.document.findall(pending_xref)):
            if node.get("refdomain") == "py" and node.hasattr("refspecific"):
                target = node["reftarget"]
                node["reftarget"] = NUMPY.get(target, classes.get(target, target))
                del node["refspecific"]  # or any attribute of that name would be taken
        for node in [*self.document.findall(download_reference), *self.document.findall(nodes.literal)]:
            self.link_example(node)
        returned = [node for node in self.document.findall(nodes.emphasis) if node.astext() in classes]
        for literal in [*self.document.findall(nodes.literal), *returned]:
            text = literal.astext().removesuffix("()")
            found = [name for name in self.candidates(text) if name in objects]
            full = found[0] if found else classes.get(text)
            if full is None or self.env.docname == f"api/{full}" or not may_be_link(literal):
                continue
            entry = objects[full]
            content = literal.deepcopy()
            content["classes"] += ["xref"]
            link = make_refnode(self.app.builder, self.env.docname, entry.docname, entry.node_id, content, full)
            literal.replace_self(link)

    def link_example(self, node: nodes.Element) -> None:
        """Where a page names a program of `examples`, or links to it, lead to its page."""
        match = re.search(r"^(?:\.\./)*(examples/\w+)\.py$", node.get("reftarget", node.astext()))
        if match and match[1] in self.env.found_docs and not isinstance(node.parent, nodes.reference):
            content = node.deepcopy()
            if isinstance(node, download_reference):
                content = nodes.inline("", "", *content.children)
            node.replace_self(make_refnode(self.app.builder, self.env.docname, match[1], None, content))

    def candidates(self, text: str) -> list[str]:
        """Full names that a text may be short for; on a page of the API that of the class or module first."""
        found = [text, f"rnncore.{text}"] if "." in text or text == "rnncore" else []
        folder, _, page = self.env.docname.rpartition("/")
        return [f"{page}.{text}", f"{page.rpartition('.')[0]}.{text}", *found] if folder == "api" else found


def may_be_link(literal: nodes.TextElement) -> bool:
    node: nodes.Node = literal
    while (parent := node.parent) is not None:
        if isinstance(parent, (nodes.reference, nodes.title, pending_xref)):
            return False
        if isinstance(node, nodes.entry):
            return parent.index(node) > 0
        node = parent
    return True


def bare_classes(objects: Any) -> dict[str, str]:
    """The full name of each class whose name stands for itself; of two, that of the layer."""
    found: dict[str, str] = {}
    for full, entry in objects.items():
        name = full.rpartition(".")[2]
        if entry.objtype == "class" and (name not in found or full.startswith("rnncore.layers.")):
            found[name] = full
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(NameLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
