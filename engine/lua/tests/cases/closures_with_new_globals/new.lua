local M = {}
function M.make() local n = 1 return function() return math.floor(n + 0.5), tostring(n) end end
return M
