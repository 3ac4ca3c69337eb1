"""How models compute: compiling, single steps, and runs over many batches."""
