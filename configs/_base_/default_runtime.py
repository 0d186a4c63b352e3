# mmpretrain's runtime, from which a killed run resumes as if nothing had
# happened (docs/resume.md).
_base_ = ['mmpretrain::_base_/default_runtime.py']

default_hooks = dict(
    checkpoint=dict(type='mmrmix.SafeCheckpointHook', max_keep_ckpts=2),
    reseed=dict(type='mmrmix.ReseedHook'),
)
# As inherited, but without the _scope_ that "mmpretrain::" adds: mmpretrain's
# browse_dataset.py passes all that stands here on to the class.
visualizer = dict(_delete_=True, type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
