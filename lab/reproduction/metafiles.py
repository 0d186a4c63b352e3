# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's numbers, from the only place that has them: the metafiles in configs/, which mim reads, too."""

from pathlib import Path
from typing import Dict, List, Tuple

import yaml

CONFIGS = Path(__file__).parents[2] / 'configs'


def models(folder: str) -> Dict[str, dict]:
    """Entries of ``configs/FOLDER/metafile.yml``, by config below configs/."""
    content = yaml.safe_load((CONFIGS / folder / 'metafile.yml').read_text(encoding='utf-8'))
    return {model['Config'].split('/', 1)[1]: model for model in content['Models']}


def model(config: str) -> dict:
    """The entry of a config."""
    return models(config.split('/')[0])[config]


def errors(config: str) -> Tuple[float, ...]:
    """Top-1 error of a classifier, and top-5 error where the paper has it, in %; the metafiles have accuracies."""
    (result,) = model(config)['Results']
    return tuple(round(100 - accuracy, 2) for accuracy in result['Metrics'].values())


def columns(config: str) -> List[Dict[str, float]]:
    """Metrics of a detector or segmentor from three backbones: without mixing, CutMix and RecursiveMix."""
    entry = model(config)
    rm = {name: value for result in entry['Results'] for name, value in result['Metrics'].items()}
    return [entry['Other Pretraining']['baseline'], entry['Other Pretraining']['CutMix'], rm]
