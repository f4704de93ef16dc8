"""The stages of training, one file each. `edgecodec_train.loop` runs them."""
