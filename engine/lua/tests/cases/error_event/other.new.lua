return { value = 1, more = 2 }
