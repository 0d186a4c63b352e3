# Detectors start from the ResNet-50 pretrained with RecursiveMix, and a killed
# run resumes exactly.
rm_resnet50 = dict(
    model=dict(
        backbone=dict(
            init_cfg=dict(
                type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/resnet50_8xb64_imagenet/epoch_300.pth'
            )
        )
    ),
    default_hooks=dict(
        checkpoint=dict(type='mmrmix.SafeCheckpointHook'),
        reseed=dict(type='mmrmix.ReseedHook'),
    ),
)
