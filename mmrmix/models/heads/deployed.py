# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Dict, Mapping, TypeVar

Value = TypeVar('Value')


def without_fc_roi(weights: Mapping[str, Value]) -> Dict[str, Value]:
    """Leave out the branch of RMHead that only training uses.

    Args:
        weights (Mapping[str, Any]): Weights of a classifier by name, such as
            a state dict.

    Returns:
        dict[str, Any]: Weights of the deployed classifier.
    """
    return {name: value for name, value in weights.items() if '.fc_roi.' not in name}
