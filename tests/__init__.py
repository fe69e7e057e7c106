"""One thread for each process of a test run, for there are as many processes as cores.

TensorFlow, BLAS and OpenMP read this when they are imported; a package is imported before what is in it.
"""

import os

for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
