local M = {}
M.defaults = { hp = 10 }
M.unit = setmetatable({}, { __index = M.defaults })
setmetatable(M, { __call = function(self, x) return "old", x end, __index = function() return "old default" end })
return M
