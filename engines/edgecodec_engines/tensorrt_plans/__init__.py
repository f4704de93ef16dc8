"""Plans: graphs that TensorRT has compiled for one machine, how they are built and where they are kept.

tensorrt_module.py   which TensorRT is installed, and what a plan of it runs on
cuda_driver.py       the GPU, asked of the driver itself
profiles.py          the sizes of pictures that a plan takes, as shapes of its inputs
plan_key.py          everything that binds a plan
private_folder.py    a folder that nobody else can write to
plan_cache.py        plans on disk
building.py          building in a process of its own
builder_process.py   that process
"""
