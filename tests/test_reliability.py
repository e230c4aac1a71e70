"""Every test that docs/reliability.md names is there, and every case that a test names is in its table."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / 'docs' / 'reliability.md').read_text()


def test_the_tests_of_the_table_exist():
    named = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', TABLE)
    numbers = re.findall(r'^\| (\d+) \|', TABLE, re.MULTILINE)
    assert len(numbers) >= 20 and numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(named) > 20
    for file, test in named:
        assert re.search(rf'^def {test}\(', (ROOT / file).read_text(), re.MULTILINE), (file, test)


def test_the_cases_of_the_tests_are_in_the_table():
    cases = set(re.findall(r'^\| (\d+) \|', TABLE, re.MULTILINE))
    for path in (ROOT / 'tests').rglob('test_*.py'):
        text = path.read_text()
        named = re.findall(r'[Cc]ases? ([\d, and]+) of docs/reliability', text) + re.findall(r'fault case (\d+)', text)
        assert set(re.findall(r'\d+', ' '.join(named))) <= cases, (path, named)
