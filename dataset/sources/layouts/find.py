def find_layout(path, reading):
    return None
