local M = {}
for i = 1, 50000 do M.list = { next = M.list, number = i, added = true } end
return M
