def drawn(r): return None
