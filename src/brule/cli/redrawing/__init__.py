"""``brule generate``, and the decoder's figures in ``brule evaluate``."""
