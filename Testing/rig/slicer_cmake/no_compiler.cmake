# Toolchain for machines without a compiler: nothing in this extension is compiled, but `project` looks for one.
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER "${CMAKE_COMMAND}")
  set(CMAKE_${language}_COMPILER_FORCED TRUE)
endforeach()
