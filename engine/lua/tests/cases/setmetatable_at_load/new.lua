local M = {}
M.defaults = { hp = 20, mp = 5 }
M.unit = setmetatable({}, { __index = M.defaults })
setmetatable(M, { __call = function(self, x) return "new", x end, __index = function() return "new default" end })
return M
