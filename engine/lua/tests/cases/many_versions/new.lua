local M = {}
function M.make() local n = 0 return function(a, b) n = n + 1 return "v2", n end end
return M
