local M = { list = {}, named = {} }
for i = 1, 5 do
    local c = i * 10
    M.list[i] = function() c = c + 1 return "old", c end
    M.named["n" .. i] = function() return "old", c end
end
return M
