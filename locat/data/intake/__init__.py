"""The border that a user's files cross: folders, files, pictures and masks, each checked in one place."""
