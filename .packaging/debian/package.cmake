# The Debian package: cpack -G DEB, in a build directory configured with -DRAMDISK_PACKAGE=ON.
#
# It takes the place of the distribution's plugin and of its manual page, which dpkg keeps aside as
# long as this package is installed (see preinst.in).
set(CPACK_PACKAGE_NAME nbdkit-memory-plugin)
set(CPACK_PACKAGE_VENDOR "the nbdkit-memory-plugin developers")
# A contact has an address. The developers have none, and mail to this domain leads nowhere.
set(CPACK_PACKAGE_CONTACT "The nbdkit-memory-plugin developers <noreply@example.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "RAM disk for nbdkit: sparse, plain or compressed")
set(CPACK_PACKAGE_DESCRIPTION
"Takes the place of the memory plugin that comes with nbdkit: the same name,
parameters and behaviour, faster, with less memory, and with limits.
The distribution's plugin is diverted while this package is installed.")
set(CPACK_PACKAGING_INSTALL_PREFIX ${NBDKIT_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "nbdkit (>= 1.24)")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(diverted_plugin ${NBDKIT_PLUGINDIR}/nbdkit-memory-plugin.so)
set(diverted_page ${NBDKIT_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/nbdkit-memory-plugin.1.gz)
foreach(script preinst postrm)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${script}.in ${PROJECT_BINARY_DIR}/debian/${script}
                 @ONLY FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
                 GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/${script})
endforeach()

set(changelog ${PROJECT_BINARY_DIR}/debian/changelog)
configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog.in ${changelog} @ONLY)
add_custom_command(OUTPUT ${changelog}.gz COMMAND gzip -9nc ${changelog} > ${changelog}.gz
                   DEPENDS ${changelog} VERBATIM)
add_custom_target(debian_changelog ALL DEPENDS ${changelog}.gz)
install(FILES ${changelog}.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_PACKAGE_NAME})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_PACKAGE_NAME} RENAME copyright)
include(CPack)
