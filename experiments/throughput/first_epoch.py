"""One of foreign.py's contenders up to the end of its first epoch, which it announces; then it ends.

python first_epoch.py fit mlp
"""

from __future__ import annotations

import sys

from contenders import make
from zoo.problem import Zoo

if __name__ == "__main__":
    contender, model = sys.argv[1:]
    make(contender, Zoo(model))(0)
    print("FINISHED", flush=True)
