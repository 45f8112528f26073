"""Samples by which a check of the tree shows, on each run, that it has not become blind."""

import pathlib
import tempfile


def misjudged(samples, common=None, open_tree=lambda root: root):
    """Yields a line for each sample that its check judges wrongly.

    A sample is (check, {path: text}, number of violations). The files of `common` are part of every
    tree, and a check is given what `open_tree` makes of the tree's root.
    """
    for check, tree, wanted in samples:
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**(common or {}), **tree}.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            got = list(check(open_tree(pathlib.Path(root).resolve())))
            if len(got) != wanted:
                yield f"{check.__name__}, of {', '.join(tree)}: {wanted} violations wanted, {len(got)} found: {got}"
