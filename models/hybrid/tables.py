def written(r): return ""
