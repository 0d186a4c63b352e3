# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Resume a run of a plain head with RMHead."""

from typing import Any, Dict, List

from mmengine.optim import OptimWrapper
from torch import nn

BRANCH, CLASSIFIER = '.fc_roi.', '.fc.'


def add_branch(checkpoint: Dict[str, Any], model: nn.Module, optim_wrapper: OptimWrapper) -> List[str]:
    """Make room for ``fc_roi`` in the checkpoint of a plain model.

    torch refuses an optimiser state with fewer parameters than the model has.
    ``fc_roi`` gets the weights that it has in the model, the hyper-parameters
    that ``fc`` has reached (where each parameter has a group of its own), and
    no momentum.

    Args:
        checkpoint (dict): A checkpoint, about to be resumed; its entries
            ``state_dict``, ``optimizer`` and ``param_schedulers`` are changed.
        model (nn.Module): The model, not wrapped.
        optim_wrapper (OptimWrapper): The optimiser wrapper, built.

    Returns:
        list[str]: Names of the parameters that the checkpoint lacks; empty
        where there is nothing to do, or more is missing than the branch.
    """
    parameters = dict(model.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    missing = [name for name in names.values() if name not in checkpoint.get('state_dict', {})]
    saved = checkpoint.get('optimizer')
    if not missing or saved is None or not all(BRANCH in name for name in missing):
        return []
    groups = [[names[id(parameter)] for parameter in group['params']] for group in optim_wrapper.optimizer.param_groups]
    # The same groups without the branch are those of the plain model.
    plain = [[name for name in group if name not in missing] for group in groups]
    num_groups = len(saved['param_groups'])
    if [len(group) for group in plain if group] != [len(group['params']) for group in saved['param_groups']]:
        return []

    saved_group = {name: number for number, group in enumerate(filter(None, plain)) for name in group}
    saved_index = {name: index for index, name in enumerate(name for group in plain for name in group)}
    # Every group continues one of the checkpoint's: its own, or that of fc.
    sources = [saved_group[group[0].replace(BRANCH, CLASSIFIER)] for group in groups]
    index, param_groups = 0, []
    for group, source in zip(groups, sources):
        param_groups.append({**saved['param_groups'][source], 'params': list(range(index, index + len(group)))})
        index += len(group)
    ordered = [name for group in groups for name in group]
    state = {i: saved['state'][saved_index[n]] for i, n in enumerate(ordered) if saved_index.get(n) in saved['state']}
    saved.update(state=state, param_groups=param_groups)
    checkpoint['state_dict'].update((name, parameters[name].detach().clone()) for name in missing)
    for scheduler in checkpoint.get('param_schedulers') or []:
        for key in ('base_values', '_last_value'):
            values = scheduler.get(key, [])
            # Behind the groups may come the values that mmengine logs.
            scheduler[key] = [values[source] for source in sources] + values[num_groups:]
    return missing
