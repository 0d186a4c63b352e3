# Detectors start from the best epoch of the ResNet-50 pretrained with RecursiveMix,
# as in the authors' logs, and a killed run resumes exactly.
rm_resnet50 = dict(
    model=dict(
        backbone=dict(
            init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/resnet50_8xb64_imagenet/best_*.pth')
        )
    ),
    default_hooks=dict(
        checkpoint=dict(type='mmrmix.SafeCheckpointHook'),
        reseed=dict(type='mmrmix.ReseedHook'),
    ),
)
