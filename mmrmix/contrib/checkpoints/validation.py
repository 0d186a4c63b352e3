# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Whether the state of now has been validated, which a checkpoint says by itself."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

# In mmengine's message hub: the value of num_steps at the last validation. What begins with "val" would be logged.
VALIDATED = 'last_validated'


def num_steps(runner: Runner) -> int:
    """What validations are counted by.

    Args:
        runner (Runner): The runner of the training process.

    Returns:
        int: Iterations in a loop of iterations, else epochs.
    """
    return runner.iter if isinstance(runner.train_loop, IterBasedTrainLoop) else runner.epoch


def validate_if_missing(runner: Runner) -> None:
    """Run the validation whose result a resumed checkpoint lacks.

    mmengine saves before it validates. After a kill in between it would go on
    without the result, and perhaps without the best checkpoint.

    Args:
        runner (Runner): In ``before_train``.
    """
    loop = runner.train_loop
    if runner.val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return  # Another loop validates by rules of its own.
    loop._decide_current_val_interval()
    is_by_iter = isinstance(loop, IterBasedTrainLoop)
    step, last = num_steps(runner), loop.max_iters if is_by_iter else loop.max_epochs
    is_due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)
    if is_due and runner.message_hub.get_info(VALIDATED) != step:
        unit = 'iteration' if is_by_iter else 'epoch'
        runner.logger.info(f'The checkpoint was saved before its validation: validating {unit} {step} now.')
        runner.val_loop.run()
