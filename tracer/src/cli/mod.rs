//! Arguments in, what is meant by them out. Nothing here acts on it.
