"""Generated data for demonstrations and tests: chests in CheXpert's layout, and an image folder to pretrain on."""
