"""`python -m npgpt`: the program without its installed script."""

import sys

from npgpt.cli import main

sys.exit(main())
