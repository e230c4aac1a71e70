"""Whole or not at all: one writer for every file, which no other code goes around."""

import ast
from pathlib import Path

import pytest

from planet_jax.storage import files

ROOT = Path(__file__).parents[2]
WRITERS = {'write_text', 'write_bytes', 'savez', 'savez_compressed', 'savefig', 'dump'}
MODES = set('wx')  # what is appended to is read to its last whole line


def test_what_fails_halfway_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / 'new' / 'file.txt'
    files.write_text(path, 'first')
    with pytest.raises(OSError, match='No space'), files.replacing(path) as partial:
        partial.write_text('sec')
        raise OSError(28, 'No space left on device')
    assert path.read_text() == 'first' and list(path.parent.iterdir()) == [path]


def writes(tree):
    """Where a file is written other than within `with replacing(...)`: (function, line)."""
    found = []

    def visit(node, function, whole):
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.With):
            whole |= any('replacing(' in ast.unparse(item.context_expr) for item in node.items)
        if isinstance(node, ast.Lambda):
            whole |= [argument.arg for argument in node.args.args] == ['partial']  # for pictures' write_whole
        if isinstance(node, ast.Call) and not whole:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, 'id', '')
            of = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ''
            modes = [argument.value for argument in [*node.args, *(word.value for word in node.keywords)]
                     if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
            if name in WRITERS and of and of != 'files' or name == 'open' and any(
                    mode and set(mode) <= set('rwaxbt+') and MODES & set(mode) for mode in modes):
                found.append((function, node.lineno))
        for child in ast.iter_child_nodes(node):
            visit(child, function, whole)

    visit(tree, '<module>', False)
    return found


ALONE = {
    ('planet_jax/storage/checkpoint.py', 'save'),  # in the checkpoint's folder, which is renamed when it is whole
    ('planet_jax/cli/console.py', '_try'),  # to nowhere
    ('experiments/bench/verify.py', 'do'),  # a log, to be read while it grows
}


def test_nothing_is_written_another_way():
    found = {(path.relative_to(ROOT).as_posix(), function) for folder in ('planet_jax', 'experiments')
             for path in (ROOT / folder).rglob('*.py') for function, _ in writes(ast.parse(path.read_text()))}
    assert found == ALONE


@pytest.mark.parametrize('code', ["path.write_text('a')", "open(path, 'w')", "path.open(mode='xb')", 'np.savez(path)'])
def test_another_way_is_found(code):
    assert writes(ast.parse(f'def f():\n    {code}')) == [('f', 2)]
    assert writes(ast.parse(f'def f():\n    with files.replacing(path) as partial:\n        {code}')) == []
