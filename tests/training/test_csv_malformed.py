"""What is refused of a table of images: one sentence each, with the rule and the line."""

import json

import pytest
from table_helpers import DIGITS, PATHS, SPLIT, table, write
from training_helpers import tiny_config

from keras_inception.training.data.sources import open_splits

MALFORMED = {
    "empty": (b"", "The header of a table must name a column path .* Received: no line in"),
    "blank": (b"\n \r\n", "Received: no line in"),
    "a BOM alone": (b"\xef\xbb\xbf", "Received: no line in"),
    "a header alone": ("path,label\n", "A table must list images below its header. Received: none in"),
    "a header over cleared rows": ("path,label\n,\n , \n", "must list images below its header. Received: none in"),
    "no header": (table(header=""), "must name a column path .* Received: 'digit_0/000.png', 'digit_0' in"),
    "headerless, of AutoML": (
        table([("TRAINING", *row) for row in DIGITS], ""),
        "The header of a table must name a column path .*label.* Received: 'TRAINING', 'digit_0/000.png', 'digit_0' in",
    ),
    "no path": (table(header="picture,label"), "must name a column path .* Received: 'picture', 'label' in"),
    "no label": (table(header="path,breed"), "a column label .* Received: 'path', 'breed' in"),
    "unknown columns alone": (
        table([(1, 2, 3, 4, 5)] * 3, "a,b,c,d,e"),
        "Received: 'a', 'b', 'c' and 2 more in",
    ),
    "two labels": (
        table([(*row, 1) for row in DIGITS], "path,label,Label"),
        "one column for the label. Received: 'label', 'Label'",
    ),
    "two paths": (
        table([(*row, 1) for row in DIGITS], "file,class,image"),
        "one column for the path. Received: 'file', 'image'",
    ),
    "several labels with a blank between bars": (
        table([(PATHS[0], "digit_0||digit_1"), (PATHS[1], "digit_0| "), *DIGITS[2:]], "path,labels"),
        r"parted by \| must each be a name of one line. Received: line 2 with 'digit_0\|\|digit_1', line 3 with",
    ),
    "a label twice in a cell": (
        table([*DIGITS[:4], (PATHS[4], "digit_0| digit_0"), *DIGITS[5:]], "path,label"),
        r"must stand once in a cell. Received: line 6 with 'digit_0\| digit_0' in",
    ),
    "labels parted by commas": (
        table([(PATHS[0], '"digit_0, digit_1"'), *DIGITS[1:]], "path,labels"),
        r"must be parted by \|. Received: line 2 with 'digit_0, digit_1' in",
    ),
    "labels parted by bars and by slashes": (
        table([(PATHS[0], "digit_0|digit_1"), (PATHS[1], "digit_0/digit_2"), *DIGITS[2:]], "path,labels"),
        r"must be parted by \|. Received: line 3 with 'digit_0/digit_2' in",
    ),
    "lists of Python": (
        table([(path, f"\"['{label}']\"") for path, label in DIGITS], "path,labels"),
        r"must be parted by \|. Received: line 2 with .* and 21 more in",
    ),
    "no label at all": (
        table([(path, "") for path in PATHS], "path,labels"),
        "at least two classes. Received: images without any label in",
    ),
    "one class of several": (
        table([(path, "digit" * (i % 2)) for i, path in enumerate(PATHS)], "path,labels"),
        "at least two classes. Received: one, 'digit', in",
    ),
    "a label of too few images": (
        table([(path, "a|b" if i < 2 else "a") for i, path in enumerate(PATHS)], "path,labels"),
        "Every class needs at least 3 readable images .* Received: 2 in class 'b'",
    ),
    "an open quote": (
        table([*DIGITS[:3], ('"digit_0/003.png', "digit_0"), *DIGITS[4:]]),
        "every quote closed. Received: line 5 of",
    ),
    "an open quote at the end": (table()[:-8] + '"digit_2', "every quote closed. Received: line 25 of"),
    "text behind a quote": (table([*DIGITS, ('"a"b.png', "digit_0")]), "every quote closed. Received: line 26 of"),
    "a row too short": (
        table([DIGITS[0], ("digit_0/001.png",), *DIGITS[2:]]),
        r"as many cells as the header \(2\). Received: line 3 with 1 in",
    ),
    "rows too long": (
        table([(*row, "x") if i % 2 else row for i, row in enumerate(DIGITS)]),
        "Received: line 3 with 3, line 5 with 3, line 7 with 3 and 9 more in",
    ),
    "an unquoted comma": (table([("a, b.png", "digit_0"), *DIGITS]), r"as the header \(2\). Received: line 2 with 3"),
    "another separator": (
        table(separator=" | ", header="path | label"),
        "must name a column path .* Received: 'path | label' in",
    ),
    "a NUL": (
        table().encode()[:60] + b"\0" + table().encode()[60:],
        r"must be text in UTF-8. Received: a NUL in line 4, ",
    ),
    "UTF-16": (table().encode("utf-16"), "must be text in UTF-8. Received: UTF-16, "),
    "UTF-16 without a BOM": (table().encode("utf-16-le"), "must be text in UTF-8. Received: a NUL in line 1, "),
    "Latin-1": (
        table([*DIGITS[:2], ("digit_0/é.png", "x")]).encode("latin-1"),
        "UTF-8. Received: other bytes in line 4, ",
    ),
    "a spreadsheet": (b"PK\x03\x04\x14\x00", "UTF-8. Received: a spreadsheet or an archive, to be saved as CSV, "),
    "an old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\xb1", "UTF-8. Received: a spreadsheet or an archive"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0", "must be text in UTF-8. Received: other bytes in line 1, "),
    "JSON": (
        json.dumps([{"path": p, "label": "x"} for p in PATHS], indent=1),
        r"must name a column path .* Received: '\[' in",
    ),
    "a page": ("<!DOCTYPE html>\n<p>404</p>\n", "must name a column path .* Received: '<!DOCTYPE html>' in"),
    "a huge cell": (table([("x" * 200_000, "digit_0"), *DIGITS]), "Received: line 2 of .*field larger"),
    "a huge header": ("x" * 300_000, "Received: line 1 of .*field larger"),
    "a long path": (
        table([("x" * 20_000 + ".png", "digit_0"), *DIGITS]),
        "must be a file. Received: line 2 '.*…x*.png', of 25",
    ),
    "an empty path": (
        table([*DIGITS[:4], ("", "digit_0"), *DIGITS[5:]]),
        "must have a path. Received: line 6 with '' in",
    ),
    "a path of blanks": (table([("  ", "digit_0"), *DIGITS]), "must have a path. Received: line 2 with"),
    "an empty label": (
        table([*DIGITS[:4], (PATHS[4], ""), *DIGITS[5:]]),
        "must have a label .* Received: line 6 with '' in",
    ),
    "empty labels": (
        table([(path, "") for path in PATHS]),
        "label .* Received: line 2 with '', line 3 with '', line 4 with '' and 21 more in",
    ),
    "a label of two lines": (
        table([*DIGITS[1:], (PATHS[0], '"a\nb"')]),
        r"label of one line. Received: line 25 with 'a\\nb' in",
    ),
    "a missing file": (
        table([*DIGITS[:4], ("digit_0/404.png", "digit_0"), *DIGITS[5:]]),
        "must be a file. Received: line 6 '.*/photos/digit_0/404.png', of 24 images in",
    ),
    "names without their ending": (
        table([(path[:-4], label) for path, label in DIGITS], "id,label"),
        "must be a file. Received: line 2 '.*/digit_0/000', though there is '000.png', line 3 .* and 21 more, of 24",
    ),
    "a path that is a folder": (
        table([*DIGITS, ("digit_0", "digit_0")]),
        "Received: line 26 '.*/digit_0', a folder, of 25",
    ),
    "a path of the web": (
        table([("https://x.org/a.png", "a"), *DIGITS]),
        "must be a file. Received: line 2 '.*x.org/a.png', of",
    ),
    "an unknown split": (
        table([*SPLIT[:2], (*DIGITS[2], "holdout"), *SPLIT[3:]], "path,label,split"),
        "A split must be train, validation or test. Received: line 4 with 'holdout' in",
    ),
    "an empty split": (
        table([*SPLIT[:2], (*DIGITS[2], ""), *SPLIT[3:]], "path,label,split"),
        "Received: line 4 with '' in",
    ),
    "no split to train on": (
        table([(*row, "test") for row in DIGITS], "path,label,split"),
        "must be listed to train on. Received: test in",
    ),
    "a class that is tested alone": (
        table([*SPLIT[:-1], (PATHS[-1], "digit_9", "test")], "path,label,split"),
        "classes of test in .* must be among those of train in .* Received: 'digit_9'",
    ),
    **{
        f"the weight {text!r}": (
            table([(*row, 1) for row in DIGITS[:-1]] + [(*DIGITS[-1], text)], "path,label,weight"),
            f"A weight must be a number of at least 0. Received: line 25 with '{text}' in",
        )
        for text in ("heavy", "", "-1", "nan", "inf", "1e999")
    },
    "a weight with a comma": (
        table([(*row, 1) for row in DIGITS[:-1]] + [(*DIGITS[-1], '"1,000"')], "path,label,weight"),
        "A weight must be a number of at least 0. Received: line 25 with '1,000' in",
    ),
    "weights of nothing": (
        table([(*row, 0) for row in DIGITS], "path,label,weight"),
        "must weigh more than 0. Received: none of 24 in",
    ),
    "one class": (table([(path, "digit") for path in PATHS]), "at least two classes. Received: one, 'digit', in"),
    "too few images": (
        table(DIGITS[:9]),
        "Every class needs at least 3 readable images .* Received: 1 in class 'digit_1'",
    ),
    "the same path in two splits": (
        table([*SPLIT, (*DIGITS[0], "test")], "path,label,split"),
        r"must belong to one split. Received: '.*/digit_0/000.png' in train \(line 2\) and in test \(line 26\) in",
    ),
    "the same path with two labels": (
        table([*DIGITS, (f"./{PATHS[0]}", "digit_1")]),
        r"once, several labels .* \| between. Received: '.*' as 'digit_0' \(line 2\) and as 'digit_1' \(line 26\)",
    ),
    "the same path twice": (
        table([*DIGITS, DIGITS[5]]),
        r"listed once, .* Received: '.*005.png' first \(line 7\) and again \(line 26\) in",
    ),
    "every path twice": (table(DIGITS * 2), "must be listed once, .* and 21 more in"),
    "labels that differ by case": (
        table([(path, "Digit_1" if i == 8 else label) for i, (path, label) in enumerate(DIGITS)]),
        r"differ by more than case and blanks. Received: 'Digit_1' \(line 10\) and 'digit_1' \(line 11\) in",
    ),
    "labels that differ by a blank": (
        table([(path, f"{label} " if i == 8 else label) for i, (path, label) in enumerate(DIGITS)]),
        r"Received: 'digit_1' \(line 11\) and 'digit_1 ' \(line 10\) in",
    ),
    "labels that differ by how an accent is written": (
        table([(path, ["n\u00e9", "ne\u0301"][i % 2]) for i, path in enumerate(PATHS)]),
        "Received: 'ne\u0301' .line 3. and 'n\u00e9' .line 2.",
    ),
    "measurements": (
        table([(path, i / 7 + 0.01) for i, path in enumerate(PATHS)]),
        "A label must name a class, .* Received: 24 different numbers for 24 images, such as 0.01, in",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_table_is_refused_in_one_sentence_that_names_the_line(here, case):
    text, message = MALFORMED[case]
    data = write(here, text)
    with pytest.raises(ValueError, match=message) as caught:
        open_splits(tiny_config(data))
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 1000
    assert str(here / "photos.csv") in sentence or "Every class needs" in sentence
