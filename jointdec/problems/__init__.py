"""The problems that jointdec ships, one folder or file each."""

DEFAULT = "molecules"  # also the problem of all records from before there were several
