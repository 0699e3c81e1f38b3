"""Training scripts as their users write them: each is run as a module, and compared with another line by line.

``torch_single.py`` and ``torch_ddp.py``, ``keras_single.py`` and ``keras_mirrored.py`` differ in nothing but what
trains in parallel. All are given the same words: FOLDER STEPS WIDTH BATCH (``task.py``).
"""

from serving.lean import import_lean

import_lean()
