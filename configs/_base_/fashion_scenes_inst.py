# Instance segmentation: detection with masks.
_base_ = ['fashion_scenes_det.py']

fashion_scenes = dict(
    # Images, and so anchors and the sizes that FPN's levels stand for, are a fifth of COCO's.
    # Fewer boxes and one sample a bin: NMS and RoIAlign are slow on CPUs.
    model=dict(
        rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=64, finest_scale=14, roi_layer=dict(sampling_ratio=1)),
            mask_roi_extractor=dict(out_channels=64, finest_scale=14, roi_layer=dict(sampling_ratio=1)),
        ),
        train_cfg=dict(rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=200, max_per_img=100)),
        test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
    ),
    train_pipeline=[
        dict(type='LoadImageFromFile'),
        # The label map is for HTC, whose semantic branch learns from it.
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, with_seg=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ],
    val_evaluator=dict(metric=['bbox', 'segm']),
    test_evaluator=dict(metric=['bbox', 'segm']),
)
fashion_scenes['train_dataloader'] = dict(dataset=dict(pipeline=fashion_scenes['train_pipeline']))
