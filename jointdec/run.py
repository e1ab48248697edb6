"""``python -m jointdec.run``: one configuration in, one recorded run out."""
