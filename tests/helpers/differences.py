# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""How two configs differ."""

MISSING = '(missing)'


def differences(theirs, ours, path=''):
    """{dotted path: (their value, our value)}."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        pairs = {key: (theirs.get(key, MISSING), ours.get(key, MISSING)) for key in {**theirs, **ours}}
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = dict(enumerate(zip(theirs, ours)))
    else:
        is_equal = theirs == ours and isinstance(theirs, bool) == isinstance(ours, bool)
        return {} if is_equal else {path[1:]: (theirs, ours)}
    found = [differences(*pair, f'{path}.{key}') for key, pair in pairs.items()]
    return {key: pair for each in found for key, pair in each.items()}
