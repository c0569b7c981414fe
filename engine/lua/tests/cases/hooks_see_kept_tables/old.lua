local M = { map = { x = 1 }, plain = {} }
M.other = setmetatable({}, { __index = M.map })
return M
