local M = {}
function M.make() local n = 0 return function() n = n + 1 return "new a" .. n end, function(x) n = n + 1 return "new b" .. n end end
return M
